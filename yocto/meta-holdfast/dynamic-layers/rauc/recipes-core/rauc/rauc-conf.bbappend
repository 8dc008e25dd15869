# Only with the distribution `holdfast`: elsewhere this changes nothing.
FILESEXTRAPATHS:prepend:holdfast := "${THISDIR}/files:"

do_install:append:holdfast() {
    sed -i -e 's/@MACHINE@/${MACHINE}/g' ${D}${nonarch_libdir}/rauc/system.conf
}
