package badger

import (
	"os"

	"golang.org/x/sys/unix"
)

// freeSpace is what this user may still write to the disk of dir, in bytes.
func freeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// allocate gives a file real blocks.
func allocate(f *os.File, size int64) error {
	return unix.Fallocate(int(f.Fd()), 0, 0, size)
}

// heldBlocks is how many bytes of a file really lie on the disk.
func heldBlocks(file string) uint64 {
	var st unix.Stat_t
	if unix.Stat(file, &st) != nil {
		return 0
	}
	return uint64(st.Blocks) * 512
}
