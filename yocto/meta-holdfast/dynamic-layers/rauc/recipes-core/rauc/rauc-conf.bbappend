# Only with the distribution `holdfast`: elsewhere this changes nothing.
inherit holdfast_board

FILESEXTRAPATHS:prepend:appliance := "${THISDIR}/files:"

do_install:append:appliance() {
    sed -i -e 's/@COMPATIBLE@/${@holdfast_compatible(d)}/g' \
        -e 's,@SLOT_A@,${@holdfast_slot_device(d, 0)},g' -e 's,@SLOT_B@,${@holdfast_slot_device(d, 1)},g' \
        ${D}${nonarch_libdir}/rauc/system.conf
}
