package cli

import (
	"strings"

	"github.com/alecthomas/kong"
)

// separated puts "--" before the image of a run command, so that what follows
// is the container's and never taken for a flag of ours: in
// `rootlet run -e A=1 nginx -e B` the last -e is nginx's.
func separated(root *kong.Node, args []string) []string {
	node, at := root, 0
	for at < len(args) {
		word := args[at]
		if word == "--" {
			return args
		}
		if strings.HasPrefix(word, "-") && len(word) > 1 {
			at += 1 + valuesAfter(node, word)
			continue
		}
		child := childNamed(node, word)
		if child == nil {
			break
		}
		node, at = child, at+1
	}
	if at >= len(args) || !passesThrough(node) {
		return args
	}
	return append(append(append([]string{}, args[:at]...), "--"), args[at:]...)
}

// childNamed finds a subcommand by its name or an alias.
func childNamed(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Type != kong.CommandNode {
			continue
		}
		if child.Name == name {
			return child
		}
		for _, alias := range child.Aliases {
			if alias == name {
				return child
			}
		}
	}
	return nil
}

// passesThrough reports whether a command's positional arguments end in another
// program's.
func passesThrough(node *kong.Node) bool {
	n := len(node.Positional)
	return n > 0 && node.Positional[n-1].Passthrough
}

// valuesAfter says how many of the following words belong to a flag: one where
// it takes a value that is not in the same word.
func valuesAfter(node *kong.Node, word string) int {
	if name, long := strings.CutPrefix(word, "--"); long {
		name, _, inWord := strings.Cut(name, "=")
		if flag := flagNamed(node, name, 0); !inWord && flag != nil && !flag.IsBool() {
			return 1
		}
		return 0
	}
	letters := []rune(word[1:])
	for i, letter := range letters {
		flag := flagNamed(node, "", letter)
		if flag == nil || flag.IsBool() {
			continue
		}
		if i == len(letters)-1 {
			return 1
		}
		return 0 // the rest of the word is its value
	}
	return 0
}

// flagNamed finds a flag by its name, an alias or its letter, here or above.
func flagNamed(node *kong.Node, name string, short rune) *kong.Flag {
	for ; node != nil; node = node.Parent {
		for _, flag := range node.Flags {
			if name != "" && flag.Name == name || short != 0 && flag.Short == short {
				return flag
			}
			for _, alias := range flag.Aliases {
				if name != "" && alias == name {
					return flag
				}
			}
		}
	}
	return nil
}
