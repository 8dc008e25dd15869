# How a slot of the Yocto image is started; boot.cmd of image/ follows. The kernel is in the root's
# /boot, so that an update brings its own. A root that does not come is given up, which costs a try.
setenv start 'part uuid ${devtype} ${devnum}:${n} puuid; setenv bootargs "root=PARTUUID=${puuid} rootwait=30 ro rauc.slot=${s} @CMDLINE@ ${why}"; echo "holdfast: slot ${s} (order ${BOOT_ORDER}, left A ${BOOT_A_LEFT}, B ${BOOT_B_LEFT}) ${why}"; if load ${devtype} ${devnum}:${n} ${kernel_addr_r} boot/Image; then booti ${kernel_addr_r} - ${fdt_addr}; fi; echo "holdfast: slot ${s} does not load"'
