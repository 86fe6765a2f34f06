package linux

import "os"

// SyncDir has the names in a directory last over a power cut (fsync(2)). EINVAL is from a
// file system that cannot.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
