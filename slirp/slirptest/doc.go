// Package slirptest is the suite that every network driver must pass. A test binary
// that calls Run has Main as its TestMain; the suite then runs in a user and mount
// namespace like the monitor's, with one id and with sub-ids, on containers that are
// processes in namespaces below.
package slirptest
