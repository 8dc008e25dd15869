# Only with the distribution `holdfast`: elsewhere this changes nothing.
inherit holdfast_board

FILESEXTRAPATHS:prepend:appliance := "${THISDIR}/files:"

SRC_URI:append:appliance = " file://start.cmd file://${@holdfast_tree(d)}/image/boot.cmd"

# The script that counts boots and chooses the slot, in place of the layer's own.
do_compile:appliance() {
    sed "s|@CMDLINE@|${@' '.join(holdfast_lines(d, 'cmdline'))}|" \
        ${UNPACKDIR}/start.cmd ${UNPACKDIR}/boot.cmd > ${WORKDIR}/boot.cmd
    mkimage -A ${UBOOT_ARCH} -T script -C none -n "Boot script" -d ${WORKDIR}/boot.cmd boot.scr
}
