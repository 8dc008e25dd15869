#!/usr/bin/env bash
# Makes keys that sign updates: image/keys.sh DIR [NAME]
# ca.pem goes into every image; signer.pem and signer.key sign bundles; ca.key is needed again only for another
# signer: take it off this machine. Without NAME they are development keys, which `make image RELEASE=1` refuses.
set -euo pipefail
dir=$1 name=${2:-Holdfast development}
[ ! -e "$dir/ca.pem" ] || exit 0
mkdir -p "$(dirname "$dir")"
umask 077
mkdir -p "$dir"
new=$(mktemp -d "$dir/new.XXXXXX")
trap 'rm -rf "$new"' EXIT
# A device whose clock is wrong must still believe them: twenty years, and updates carry their signing time.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 7305 -subj "/O=$name/CN=$name updates CA" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
    -keyout "$new/ca.key" -out "$new/ca.pem" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/O=$name/CN=$name update signer" \
    -keyout "$new/signer.key" -out "$new/signer.csr" 2>/dev/null
openssl x509 -req -in "$new/signer.csr" -CA "$new/ca.pem" -CAkey "$new/ca.key" -days 7300 -out "$new/signer.pem" \
    -extfile <(printf 'basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=emailProtection\n') 2>/dev/null
rm "$new/signer.csr"
mv "$new/ca.key" "$new/signer.key" "$new/signer.pem" "$dir/"
mv "$new/ca.pem" "$dir/" # last: it says that the others are complete
echo "$dir: keys of \"$name\""
