SUMMARY = "The appliance: Holdfast, the network and nothing else"
DESCRIPTION = "A read-only root file system for two slots of one size; footage and settings are on a data partition."
HOMEPAGE = "https://holdfast.example/"
BUGTRACKER = "https://holdfast.example/issues"
SECTION = "images"
LICENSE = "MIT"
CVE_PRODUCT = ""

inherit core-image holdfast_board

# For the .wks files: the sizes and the command line of the board.
HOLDFAST_BOOT_MIB = "${@holdfast_partition_mib(d, 'boot', '64')}"
HOLDFAST_ROOT_MIB = "${@holdfast_partition_mib(d, 'root-a', '576')}"
HOLDFAST_DATA_MIB = "${@holdfast_partition_mib(d, 'data', '128')}"
HOLDFAST_CMDLINE = "${@' '.join(holdfast_lines(d, 'cmdline'))}"

# Two root partitions of one size, so that either takes an update.
IMAGE_ROOTFS_MAXSIZE = "${@int(d.getVar('HOLDFAST_ROOT_MIB')) * 1024}"

IMAGE_FEATURES += "read-only-rootfs"
IMAGE_LINGUAS = ""
# A boot loader that chooses a slot starts the kernel that is in it; qemu is given one on its command line.
IMAGE_INSTALL = "\
    packagegroup-core-boot \
    holdfast \
    tzdata \
    e2fsprogs-e2fsck \
    e2fsprogs-resize2fs \
    ${@bb.utils.contains('BBFILE_COLLECTIONS', 'rauc', 'rauc', '', d)} \
    ${@'holdfast-slots kernel-image' if holdfast_chooses_slots(d) else ''} \
"
IMAGE_FSTYPES:append:appliance = " ext4 wic.xz wic.bmap"
WKS_FILE:appliance = "holdfast-${@'rpi' if 'rpi' in d.getVar('OVERRIDES').split(':') else 'qemu'}.wks.in"
