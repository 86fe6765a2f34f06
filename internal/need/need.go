// Package need has the names of what rootlet needs of a host: the lines of
// `rootlet doctor`, and what an error that comes of one of them points to.
package need

import "errors"

// The needs, in the order in which doctor shows them.
const (
	UserNamespaces   = "user namespaces"
	IDs              = "ids"
	RootFilesystem   = "root filesystem"
	Network          = "network"
	Limits           = "limits"
	Storage          = "storage location"
	RuntimeDirectory = "runtime directory"
	Lingering        = "lingering"
	Kernel           = "kernel"
	SecurityModules  = "security modules"
	TimeToStart      = "time to start"
)

// See is the hint that points to a need's line.
func See(name string) string { return "see " + `"` + name + `"` + " in `rootlet doctor`" }

// Of is the need that an error comes of not having; empty where it is none.
func Of(err error) string {
	var lacking interface{ Need() string }
	if errors.As(err, &lacking) {
		return lacking.Need()
	}
	return ""
}
