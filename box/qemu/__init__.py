"""A FreeBSD guest under qemu: its image, disks and snapshots, network and monitor."""
