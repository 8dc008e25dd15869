# What the board says of itself when a test has failed: the service, what each of its threads waits for
# in the kernel, and its log with the fields that the usual form leaves out.
systemctl status holdfast --no-pager
daemon=$(systemctl show --property MainPID --value holdfast)
for task in /proc/"$daemon"/task/*; do
	echo "$(cut -d ' ' -f 3 "$task/stat") $(cat "$task/comm") in $(cat "$task/wchan")"
done
journalctl -u 'holdfast*' -n 60 --no-pager -o json |
	sed -E 's/"(_[A-Z_]+|SYSLOG_[A-Z]+|CODE_[A-Z]+|TARGET|PRIORITY)" ?: ?("[^"]*"|\[[^]]*\]),?//g'
dmesg | tail -n 40
