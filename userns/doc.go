// Package userns decides which ids a container has and starts rootlet's stages
// inside a user namespace that has them.
//
// NewPlan runs in the command that the user typed, in the host's user
// namespace. It reads the caller's subordinate ids (subuid(5), subgid(5), and
// getsubids(1) where those say nothing), looks for newuidmap(1) and
// newgidmap(1), and chooses the best way to map ids that this host allows.
// Plan.Start then clones a stage, which is this same binary, into a user and a
// mount namespace of its own (U1) and writes its maps before it returns.
// CurrentMaps is for the stage itself, which repeats the extents it finds there
// for the container's own namespace (U2). Diagnose turns the kernel's bare errno
// into the setting that is behind it.
//
// What it does not do: it makes no U2, joins no namespace, mounts nothing and
// prints nothing; a plan that is less than the best says so in Why, Fix and
// Warnings, and the cli decides when to show them.
//
// The tables are read here and not by rootlesskit's idtools: that stops at the
// first malformed line even when it belongs to another user, cannot say which
// line it was, and accepts ids that do not fit the kernel's 32 bits. getsubids
// is asked through rootlesskit's dynidtools.
package userns
