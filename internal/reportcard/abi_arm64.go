package reportcard

var abis = []abi{{"arm64", 3, raw}}

// other is empty: programs of 32-bit arm's are programs of their own.
var other map[string]question
