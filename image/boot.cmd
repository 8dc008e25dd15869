# Chooses the slot. BOOT_ORDER, BOOT_A_LEFT and BOOT_B_LEFT are in one sector at 1 MiB of the disk,
# in the format of U-Boot's environment, so that fw_setenv and RAUC read and write it. A sector is
# written or it is not. Each boot takes one from its slot's count; a box found healthy sets it to 3
# again. Another script goes before this one and says how a slot is started: `run start`, with its
# letter in `s` and its partition in `n`. Debian's images have start.cmd, Yocto's one of their own.
setenv BOOT_ORDER
setenv BOOT_A_LEFT
setenv BOOT_B_LEFT
setenv why
test -n "${fdt_addr}" || setenv fdt_addr ${fdtcontroladdr}
${devtype} dev ${devnum}
if ${devtype} read ${scriptaddr} 0x800 1; then
  env import -c ${scriptaddr} 0x200 BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
fi
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3
setenv count 'env export -c -s 0x200 ${scriptaddr} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; ${devtype} write ${scriptaddr} 0x800 1'
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
