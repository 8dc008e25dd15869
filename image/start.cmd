# How a slot of Debian's images is started; boot.cmd follows. image/disk.sh puts the board's kernel
# command line in place of CMDLINE.
# A kernel that is damaged on the disk may hang where no watchdog counts yet: its checksum lies beside it, in both orders
# of bytes, because U-Boots differ in the one they store it in. Nothing is compared unless all of it was read.
setenv check 'crc32 ${to} ${size} ${sum}; cmp.b ${scriptaddr} ${sum} 4 || cmp.b ${turned} ${sum} 4'
setenv fetch 'load ${devtype} ${devnum}:${n} ${to} boot/${file} && setenv size ${filesize} && load ${devtype} ${devnum}:${n} ${scriptaddr} boot/${file}.crc32 && setexpr sum ${scriptaddr} + 0x100 && setexpr turned ${scriptaddr} + 4 && run check'
setenv start 'part uuid ${devtype} ${devnum}:${n} puuid; setenv bootargs "root=PARTUUID=${puuid} rauc.slot=${s} @CMDLINE@ ${why}"; echo "holdfast: slot ${s} (order ${BOOT_ORDER}, left A ${BOOT_A_LEFT}, B ${BOOT_B_LEFT}) ${why}"; setenv file vmlinuz; setenv to ${kernel_addr_r}; if run fetch; then setenv file initrd; setenv to ${ramdisk_addr_r}; if run fetch; then booti ${kernel_addr_r} ${ramdisk_addr_r}:${size} ${fdt_addr}; fi; fi; echo "holdfast: slot ${s} does not load"'
