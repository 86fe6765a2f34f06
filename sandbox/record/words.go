package record

// The words of random names: an adjective, then the surname of someone to whom
// computing, mathematics or the sciences owe something. Own lists.
var (
	adjectives = []string{
		"able", "agile", "amber", "ample", "bold", "brave", "breezy", "bright", "brisk", "calm",
		"candid", "careful", "cheerful", "civil", "clear", "clever", "cosmic", "crisp", "curious", "daring",
		"deft", "eager", "early", "earnest", "easy", "fair", "faithful", "fleet", "fluent", "fond",
		"frank", "fresh", "gentle", "glad", "golden", "graceful", "happy", "hardy", "hearty", "honest",
		"humble", "jolly", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow", "merry",
		"mild", "modest", "neat", "nimble", "noble", "open", "patient", "placid", "plucky", "polite",
		"proud", "prudent", "quick", "quiet", "rapid", "ready", "robust", "serene", "sharp", "silent",
		"sincere", "smooth", "snug", "sober", "solid", "spry", "steady", "stout", "subtle", "sunny",
		"swift", "tender", "tidy", "timely", "tranquil", "trusty", "upbeat", "valiant", "vivid", "warm",
		"wise", "witty", "worthy", "zealous", "zesty",
	}
	surnames = []string{
		"abel", "ada", "agnesi", "aiken", "allen", "babbage", "backus", "banach", "bardeen", "bell",
		"bernoulli", "bohr", "boole", "born", "bose", "cantor", "cauchy", "cerf", "church", "codd",
		"conway", "cray", "curie", "dahl", "darwin", "descartes", "dijkstra", "dirac", "easley", "eckert",
		"einstein", "engelbart", "erdos", "erlang", "euclid", "euler", "faraday", "fermat", "fermi", "feynman",
		"fibonacci", "floyd", "fourier", "franklin", "galois", "gauss", "germain", "goldberg", "goodall", "haber",
		"hamilton", "hamming", "heisenberg", "herschel", "hilbert", "hoare", "hodgkin", "hopper", "huffman", "hypatia",
		"iverson", "jacobi", "joliot", "kahn", "karp", "kay", "kepler", "keller", "khwarizmi", "kleene",
		"knuth", "kolmogorov", "kovalevskaya", "lagrange", "lamarr", "lamport", "laplace", "leibniz", "liskov", "lovelace",
		"mauchly", "maxwell", "mccarthy", "meitner", "mendel", "milner", "minsky", "mirzakhani", "napier", "naur",
		"newton", "noether", "nygaard", "oersted", "ohm", "pascal", "pauling", "peano", "perlis", "planck",
		"postel", "rabin", "raman", "ramanujan", "riemann", "ritchie", "rubin", "sammet", "shamir", "shannon",
		"sutherland", "tarjan", "tesla", "thompson", "torvalds", "turing", "ulam", "volta", "wiener", "wilkes",
		"wilkinson", "wing", "wirth", "wu", "yalow", "zuse",
	}
)
