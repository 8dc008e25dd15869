# Sourced by the scripts here: the facts of one board, from board/<family>/<model>/.
# shellcheck shell=bash

# board_facts NAME: finds the board whose image is called so; sets BOARD_DIR and what its image.conf says.
board_facts() {
    local file
    for file in board/*/*/image.conf; do
        if grep -qx "IMAGE=$1" "$file"; then
            BOARD_DIR=$(dirname "$file")
            # shellcheck disable=SC1090
            . "$file"
            export BOARD_DIR
            return
        fi
    done
    echo "There is no image for \"$1\". BOARD is one of: $(sed -n 's/^IMAGE=\(..*\)/\1/p' board/*/*/image.conf | xargs)" >&2
    exit 2
}

# partition_mib NAME: the size of one partition.
partition_mib() {
    awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }' "$BOARD_DIR/partitions"
}
