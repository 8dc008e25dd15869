SUMMARY = "Edge video appliance: cameras, recordings, RTSP, HLS and a page"
DESCRIPTION = "Captures and pulls cameras, keeps their footage in a ring that survives power cuts, and serves it."
HOMEPAGE = "https://holdfast.example/"
BUGTRACKER = "https://holdfast.example/issues"
SECTION = "multimedia"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "\
    file://LICENSE-MIT;md5=3f74d2e19d7f606ab601c4a436ad6a9e \
    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
"
CVE_PRODUCT = "holdfast"
# clang: the headers of V4L2 are read with libclang when the crate v4l is built.
DEPENDS = "clang-native nasm-native"

# Where `make dist` of the tree around this layer leaves its tarball.
HOLDFAST_DIST ?= "${THISDIR}/../../../../target/dist"
# The only source: what `make dist` packs, with vendored crates and the built page.
SRC_URI = "file://${HOLDFAST_DIST}/holdfast-${PV}.tar.xz"
# What its slots need beside what they share with Debian's images.
SRC_URI += "\
    file://slot-facts \
    file://holdfast-slot-facts.service \
    file://holdfast-slots.conf \
    file://etc-holdfast.mount \
    file://fw_env.config \
"

S = "${UNPACKDIR}/holdfast-${PV}"

inherit cargo systemd useradd holdfast_board

# The hardware watchdog of the board; a Tegra's counts otherwise.
HOLDFAST_WATCHDOG = "${@holdfast_fact(d, 'WATCHDOG', 'holdfast-watchdog')}"
# The oldest version that may be installed over this one.
HOLDFAST_MINIMUM_VERSION ?= "0.1.0"

CARGO_VENDORING_DIRECTORY = "${S}/vendor"
EXTRA_OECARGO_PATHS = ""
export LIBCLANG_PATH = "${STAGING_LIBDIR_NATIVE}"
export BINDGEN_EXTRA_CLANG_ARGS = "--sysroot=${STAGING_DIR_TARGET}"

do_install() {
    install -D -m 0755 ${B}/target/${CARGO_TARGET_SUBDIR}/holdfast ${D}${bindir}/holdfast
    install -d ${D}${systemd_system_unitdir}
    install -m 0644 ${S}/systemd/*.service ${S}/systemd/*.path ${D}${systemd_system_unitdir}
    install -D -m 0644 ${S}/systemd/sysusers.d/holdfast.conf ${D}${nonarch_libdir}/sysusers.d/holdfast.conf
    install -D -m 0644 ${S}/systemd/tmpfiles.d/holdfast.conf ${D}${nonarch_libdir}/tmpfiles.d/holdfast.conf
    install -D -m 0644 ${S}/systemd/udev.rules.d/60-holdfast.rules \
        ${D}${nonarch_base_libdir}/udev/rules.d/60-holdfast.rules
    install -D -m 0644 ${S}/systemd/journald.conf.d/holdfast.conf \
        ${D}${nonarch_libdir}/systemd/journald.conf.d/holdfast.conf
    install -D -m 0644 ${S}/systemd/system.conf.d/${HOLDFAST_WATCHDOG}.conf \
        ${D}${nonarch_libdir}/systemd/system.conf.d/holdfast-watchdog.conf
    install -D -m 0640 ${S}/systemd/debian/holdfast.toml ${D}${sysconfdir}/holdfast/holdfast.toml
    chown root:holdfast ${D}${sysconfdir}/holdfast/holdfast.toml

    # Two slots: what judges the one that runs, and what may be installed into the other.
    install -d ${D}${nonarch_libdir}/holdfast ${D}${systemd_system_unitdir}/holdfast-fallback.service.d ${D}/data
    for file in slot may-install show-claim; do
        install -m 0755 ${S}/image/root/usr/lib/holdfast/$file ${D}${nonarch_libdir}/holdfast/
    done
    install -m 0755 ${UNPACKDIR}/slot-facts ${D}${nonarch_libdir}/holdfast/
    printf 'VERSION=%s\nMINIMUM_VERSION=%s\nCOMPATIBLE=%s\n' "${PV}" "${HOLDFAST_MINIMUM_VERSION}" \
        "${@holdfast_compatible(d)}" > ${D}${nonarch_libdir}/holdfast/image
    install -m 0644 ${S}/image/root/usr/lib/systemd/system/holdfast-slot.service \
        ${S}/image/root/usr/lib/systemd/system/holdfast-mark-good.service \
        ${S}/image/root/usr/lib/systemd/system/holdfast-claim.service \
        ${UNPACKDIR}/holdfast-slot-facts.service ${UNPACKDIR}/etc-holdfast.mount ${D}${systemd_system_unitdir}
    install -m 0644 ${S}/image/root/usr/lib/systemd/system/holdfast-fallback.service.d/image.conf \
        ${D}${systemd_system_unitdir}/holdfast-fallback.service.d/
    install -D -m 0644 ${UNPACKDIR}/holdfast-slots.conf ${D}${nonarch_libdir}/tmpfiles.d/holdfast-slots.conf
    install -m 0644 ${UNPACKDIR}/fw_env.config ${D}${sysconfdir}/
    ln -s ../var/lib/holdfast-image ${D}/data/image
}

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system gpio; --system holdfast"
USERADD_PARAM:${PN} = "--system --gid holdfast --groups video,gpio --home-dir ${localstatedir}/lib/holdfast --shell ${sbindir}/nologin holdfast"

PACKAGES =+ "${PN}-slots"
SYSTEMD_PACKAGES = "${PN} ${PN}-slots"
SYSTEMD_SERVICE:${PN} = "holdfast.service holdfast-health.service"
SYSTEMD_SERVICE:${PN}-slots = "\
    holdfast-slot-facts.service \
    holdfast-slot.service \
    holdfast-mark-good.service \
    holdfast-claim.service \
    etc-holdfast.mount \
"

FILES:${PN}-slots += "\
    /data \
    ${nonarch_libdir}/holdfast \
    ${nonarch_libdir}/tmpfiles.d/holdfast-slots.conf \
    ${sysconfdir}/fw_env.config \
    ${systemd_system_unitdir}/etc-holdfast.mount \
    ${systemd_system_unitdir}/holdfast-claim.service \
    ${systemd_system_unitdir}/holdfast-slot.service \
    ${systemd_system_unitdir}/holdfast-slot-facts.service \
    ${systemd_system_unitdir}/holdfast-mark-good.service \
    ${systemd_system_unitdir}/holdfast-fallback.service.d \
"
FILES:${PN} += "${nonarch_libdir} ${nonarch_base_libdir} ${systemd_system_unitdir}"
CONFFILES:${PN} = "${sysconfdir}/holdfast/holdfast.toml"
# For what judges a slot: sort -V, fw_setenv, setpriv.
RDEPENDS:${PN}-slots = "${PN} coreutils libubootenv-bin util-linux-setpriv"
# Pictures of H.265 streams; the recipe is in meta-openembedded (meta-multimedia).
RRECOMMENDS:${PN} = "${@bb.utils.contains('BBFILE_COLLECTIONS', 'multimedia-layer', 'libde265', '', d)}"
