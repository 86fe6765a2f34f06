package changes

import (
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	base := layer(t, "dir/", "dir/kept=k", "dir/gone=g", "same=s", "f=f")
	top := layer(t, "dir/", "dir/new=n", "dir/!gone", "added/", "added/in=i")
	for _, c := range []struct {
		name       string
		own, image Layers
		want       string
	}{
		{"a layer more", Layers{top, base}, Layers{base}, "A /added A /added/in C /dir D /dir/gone A /dir/new"},
		{"the other way round", Layers{base}, Layers{top, base}, "D /added C /dir A /dir/gone D /dir/new"},
		{"the same", Layers{top, base}, Layers{top, base}, ""},
		{"nothing", nil, Layers{layer(t, "one=1")}, "D /one"},
		{"all", Layers{layer(t, "one=1")}, nil, "A /one"},
		{"a file for a directory", Layers{layer(t, "x=x")}, Layers{layer(t, "x/", "x/in=i")}, "C /x"},
		{"a directory for a file", Layers{layer(t, "x/", "x/in=i")}, Layers{layer(t, "x=x")}, "C /x A /x/in"},
	} {
		list, err := Compare(c.own, c.image)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, change := range list {
			got = append(got, string(change.Kind)+" "+change.Path)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}
