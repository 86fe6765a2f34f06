package cli

import (
	"os"
	"path/filepath"
)

// readmeName is a file in the data directory, for who finds that rm fails in it.
const readmeName = "README"

const readme = `This directory is rootlet's: images, containers and volumes of the user whose it is.

Some files in it belong to the user's subordinate ids, as which containers run, so that
"rm -rf" and "tar" may end with "Permission denied". Instead:

    rootlet system reset                remove everything
    rootlet system prune -a --volumes   remove what nothing uses
    rootlet system move DIR             take everything to another directory
    rootlet unshare tar -cf FILE -C DIR .   make an archive of DIR, this directory

Where there are no subordinate ids all files are the user's own, and rm and tar do.
`

// writeReadme puts it there. That it cannot is no loss.
func writeReadme(data string) {
	path := filepath.Join(data, readmeName)
	if _, err := os.Lstat(path); err == nil {
		return
	}
	_ = os.WriteFile(path, []byte(readme), 0o600)
}
