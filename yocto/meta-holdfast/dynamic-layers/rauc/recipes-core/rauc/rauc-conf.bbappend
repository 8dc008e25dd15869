# Only with the distribution `holdfast`: elsewhere this changes nothing.
inherit holdfast_board

FILESEXTRAPATHS:prepend:appliance := "${THISDIR}/files:"

do_install:append:appliance() {
    sed -i -e 's/@COMPATIBLE@/${@holdfast_fact(d, 'COMPATIBLE', 'holdfast-' + d.getVar('MACHINE'))}/g' ${D}${nonarch_libdir}/rauc/system.conf
}
