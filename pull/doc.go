// Package pull brings images from registries into a layer store.
//
// It reads references as Docker does, talks to the registry (sub-package
// registry), chooses a platform, and streams every missing layer from the
// network through decompression into the store, several at once and with no
// copy of the blob on the way. Every size, digest and DiffID is compared
// before anything becomes visible; a pull that fails leaves the store as it
// was.
//
// It knows nothing of how layers are kept: it hands them to a [Store] that
// the caller provides. It decides no pull policy, prints nothing and reads no
// environment. The command line calls it, in the process that holds the store
// open.
package pull
