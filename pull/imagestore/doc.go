// Package imagestore keeps images in a directory that one user writes and any
// number of others read: --image-store, and `rootlet store`.
//
// The directory is an OCI layout (image-spec, image-layout.md): documents and
// layers as they came, each in a file that is named by its digest, and index.json,
// which says which images there are. It holds no unpacked tree, so that no file of
// an image lies in it with the image's modes, owners or set-user-ID bits; what a
// reader takes out he unpacks for himself, and compares with its digest on the way.
//
// Reading needs no more than the right to read: nothing is written, made or locked,
// and nothing is opened through a symlink. What index.json says is its owner's word;
// an image, once its manifest's digest is known, is what that digest says or an error.
//
// Writing is for the owner. A file has its name once it is whole and on the disk,
// index.json after all that it names, so that readers see the old or the new. Writers
// exclude each other by a file of their own, which readers cannot open.
//
// It knows no layer store and no user namespace; the command line joins it to both.
package imagestore
