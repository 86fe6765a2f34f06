package publish

import "encoding/binary"

// native is the byte order of netlink and of /proc/net/tcp.
var native = binary.NativeEndian

// littleEndian is a constant to the compiler on every platform.
var littleEndian = native.Uint16([]byte{1, 0}) == 1
