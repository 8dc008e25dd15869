# Only with the distribution `holdfast`: elsewhere this changes nothing.
inherit holdfast_board

FILESEXTRAPATHS:prepend:holdfast := "${THISDIR}/files:"

do_install:append:holdfast() {
    sed -i -e 's/@COMPATIBLE@/${@holdfast_fact(d, 'COMPATIBLE', 'holdfast-' + d.getVar('MACHINE'))}/g' ${D}${nonarch_libdir}/rauc/system.conf
}
