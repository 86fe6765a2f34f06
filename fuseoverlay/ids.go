package fuseoverlay

import (
	"os"
	"strings"
)

// onlyOneID says that this user namespace maps one user id and no more, so that
// owners other than the caller cannot be kept.
func onlyOneID() bool {
	for _, file := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		text, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		fields := strings.Fields(string(text))
		const perLine = 3
		if len(fields) == perLine && fields[2] == "1" {
			return true
		}
	}
	return false
}

// OtherID is an id beside the caller's own that files may have here, 0 where there is
// none.
func OtherID() int {
	if onlyOneID() {
		return 0
	}
	return 1
}
