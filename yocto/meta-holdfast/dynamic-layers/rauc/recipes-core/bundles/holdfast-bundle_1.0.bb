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
RAUC_BUNDLE_COMPATIBLE = "${@holdfast_fact(d, 'COMPATIBLE', 'holdfast-' + d.getVar('MACHINE'))}"
RAUC_BUNDLE_VERSION = "${DISTRO_VERSION}"
RAUC_BUNDLE_SLOTS = "rootfs"
RAUC_SLOT_rootfs = "holdfast-image"
RAUC_SLOT_rootfs[fstype] = "ext4"
