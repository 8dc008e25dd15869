# Chooses the slot. BOOT_ORDER, BOOT_A_LEFT and BOOT_B_LEFT are in one sector at 1 MiB of the disk,
# in the format of U-Boot's environment, so that fw_setenv and RAUC read and write it. A sector is
# written or it is not. Each boot takes one from its slot's count; a box found healthy sets it to 3
# again. image/disk.sh puts the board's kernel command line in place of CMDLINE.
setenv BOOT_ORDER
setenv BOOT_A_LEFT
setenv BOOT_B_LEFT
setenv why
${devtype} dev ${devnum}
if ${devtype} read ${scriptaddr} 0x800 1; then
  env import -c ${scriptaddr} 0x200 BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
fi
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3
test -n "${fdt_addr}" || setenv fdt_addr ${fdtcontroladdr}
setenv count 'env export -c -s 0x200 ${scriptaddr} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; ${devtype} write ${scriptaddr} 0x800 1'
# A kernel that is damaged on the disk may hang where no watchdog counts yet: its checksum lies beside it.
setenv fetch 'load ${devtype} ${devnum}:${n} ${to} boot/${file} && setenv size ${filesize} && load ${devtype} ${devnum}:${n} ${scriptaddr} boot/${file}.crc32 && setexpr sum ${scriptaddr} + 0x100 && crc32 ${to} ${size} ${sum} && cmp.b ${scriptaddr} ${sum} 4'
setenv start 'part uuid ${devtype} ${devnum}:${n} puuid; setenv bootargs "root=PARTUUID=${puuid} rauc.slot=${s} @CMDLINE@ ${why}"; echo "holdfast: slot ${s} (order ${BOOT_ORDER}, left A ${BOOT_A_LEFT}, B ${BOOT_B_LEFT}) ${why}"; setenv file vmlinuz; setenv to ${kernel_addr_r}; if run fetch; then setenv file initrd; setenv to ${ramdisk_addr_r}; if run fetch; then booti ${kernel_addr_r} ${ramdisk_addr_r}:${size} ${fdt_addr}; fi; fi; echo "holdfast: slot ${s} does not load"'
for s in ${BOOT_ORDER}; do
  if test "${s}" = "A" && test ${BOOT_A_LEFT} -gt 0; then
    setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1; run count; setenv n 2; run start
  fi
  if test "${s}" = "B" && test ${BOOT_B_LEFT} -gt 0; then
    setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1; run count; setenv n 3; run start
  fi
done
# No try is left. The slot that was chosen last is started without counting, then whatever loads: a box
# that is up and says that it needs help is better than one that is dark.
setenv why holdfast.recovery
for s in ${BOOT_ORDER} A B; do
  if test "${s}" = "A"; then setenv n 2; else setenv n 3; fi
  run start
done
echo "holdfast: neither slot holds an image; flash the disk anew"
sleep 30
reset
