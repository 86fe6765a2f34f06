//lint:file-ignore U1000 entry_amd64.s and entry_arm64.s use what is here

package main

// entry is where the kernel starts the program that make builds: see entry_amd64.s.
func entry()

// What Go's runtime does not begin without: address space for its tables (about 750 MB;
// a byte count), and threads, of which the first steps take some ten.
var (
	leastSpace   uint64 = 1 << 30
	leastThreads uint64 = 16
)

var (
	spaceMessage = "rootlet: error: the address space is limited to less than 1 GiB (ulimit -v)\n" +
		"rootlet: hint: ulimit -v unlimited\n"
	threadsMessage = "rootlet: error: the number of processes and threads is limited to less than 16 (ulimit -u)\n" +
		"rootlet: hint: ulimit -u 4096\n"
)
