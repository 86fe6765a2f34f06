// Package inspect says of containers, images and networks what Docker's API
// does, with its names, types and order, for scripts that were written for it.
// What rootlet has no such thing for has the value that Docker shows where
// nothing was asked for.
//
// It is data and what fills it, from records that the caller has read; it reads
// and prints nothing. Volumes are described in cli. It runs in the user's own
// process.
package inspect
