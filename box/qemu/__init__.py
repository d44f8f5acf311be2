"""A FreeBSD guest straight under qemu: its image, disks and snapshots, network and monitor."""
