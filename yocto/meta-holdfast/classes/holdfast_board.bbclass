# The facts of the board, from board/<family>/<model>/ of the tree around this layer: image.conf, partitions and
# cmdline. image/ makes Debian's images from the same files.

def holdfast_tree(d):
    """The top of the tree: this class lies in yocto/meta-holdfast/classes of it."""
    import os
    here = bb.utils.which(d.getVar("BBPATH"), "classes/holdfast_board.bbclass")
    return os.path.realpath(os.path.join(os.path.dirname(here), "../../.."))

def holdfast_board(d):
    """The directory of the board that this machine is, and what its image.conf says; none for a machine of others."""
    import glob
    import os
    import shlex
    for file in sorted(glob.glob(os.path.join(holdfast_tree(d), "board/*/*/image.conf"))):
        bb.parse.mark_dependency(d, file)
        with open(file) as conf:
            facts = dict(word.split("=", 1) for word in shlex.split(conf.read(), comments=True))
        if facts["YOCTO_MACHINE"] == d.getVar("MACHINE"):
            return os.path.dirname(file), facts
    return None, {}

def holdfast_fact(d, key, otherwise):
    """One value of image.conf, or `otherwise`."""
    return holdfast_board(d)[1].get(key) or otherwise

def holdfast_lines(d, name):
    """The lines of another file of the board, without comments."""
    import os
    directory = holdfast_board(d)[0]
    if directory is None:
        return []
    file = os.path.join(directory, name)
    bb.parse.mark_dependency(d, file)
    with open(file) as lines:
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

def holdfast_partition_mib(d, name, otherwise):
    """The size of a partition in MiB, or `otherwise`."""
    rows = [line.split() for line in holdfast_lines(d, "partitions")]
    return next((row[1] for row in rows if row[0] == name), otherwise)

def holdfast_compatible(d):
    """What RAUC compares. Not that of Debian's image for the same board: its slots are laid out in another way."""
    return holdfast_fact(d, "COMPATIBLE", "holdfast-" + d.getVar("MACHINE")) + "-yocto"

def holdfast_chooses_slots(d):
    """Whether the boot loader of this machine chooses one of two slots: a Raspberry Pi's, where RAUC's layer is."""
    rauc = "rauc" in d.getVar("BBFILE_COLLECTIONS").split()
    return rauc and "rpi" in d.getVar("OVERRIDES").split(":")

def holdfast_slot_device(d, number):
    """The partition of slot 0 or 1: by number, because an update brings the file system's label with it."""
    if "rpi" in d.getVar("OVERRIDES").split(":"):
        return "/dev/mmcblk0p%d" % (2 + number)
    return "/dev/vda%d" % (1 + number)
