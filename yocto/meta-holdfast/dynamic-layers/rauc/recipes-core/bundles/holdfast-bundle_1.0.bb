SUMMARY = "A signed update of the appliance"
DESCRIPTION = "One root file system as a RAUC bundle. RAUC_KEY_FILE and RAUC_CERT_FILE name the signer's key and certificate."
HOMEPAGE = "https://holdfast.example/"
BUGTRACKER = "https://holdfast.example/issues"
SECTION = "images"
LICENSE = "MIT"
CVE_PRODUCT = ""

SRC_URI = ""

inherit bundle holdfast_board

RAUC_BUNDLE_FORMAT = "verity"
RAUC_BUNDLE_COMPATIBLE = "${@holdfast_compatible(d)}"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_SLOTS = "rootfs"
RAUC_SLOT_rootfs = "holdfast-image"
RAUC_SLOT_rootfs[fstype] = "ext4"
RAUC_BUNDLE_EXTRA_FILES += "image"

# What the board asks before it installs: which version is it?
holdfast_image_facts() {
    printf 'VERSION=%s\n' "${DISTRO_VERSION}" > ${UNPACKDIR}/image
}
holdfast_image_facts[doc] = "Writes the file that the board reads before it installs"
do_unpack[postfuncs] += "holdfast_image_facts"
