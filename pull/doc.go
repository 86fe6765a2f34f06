// Package pull brings images from registries into a layer store.
//
// It reads references as Docker does, talks to the registry (sub-package
// registry), chooses a platform, and streams every missing layer from the
// network through decompression into the store, several at once. The blob is
// kept on the way (sub-package blobs), so that a pull that breaks off can go on
// and an image can be pushed as it came. Every size, digest and DiffID is
// compared before a layer becomes visible, and every layer is there before the
// image is. docs/architecture.md, "How a layer reaches the disk".
//
// It knows nothing of how layers are kept: it hands them to a [Store] that
// the caller provides. It decides no pull policy, prints nothing and reads no
// environment. The command line calls it, in the process that holds the store
// open.
package pull
