// Package failpoint marks the steps at which a process of rootlet's may be
// killed, for the tests that kill it there. In a binary built with the tag
// failpoints (failpoint_on.go) a process that comes to the step which
// $ROOTLET_FAILPOINT names ends as by `kill -9`; stages have that variable from
// the command that the user typed, containers never do. In any other binary, the
// released one among them, all of this is empty and compiles to nothing.
//
// Any package below main may mark a step. A name begins with the word that its
// package goes by, and is used in one place only.
package failpoint
