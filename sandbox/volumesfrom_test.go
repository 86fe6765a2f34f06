package sandbox

import (
	"errors"
	"reflect"
	"testing"

	"rootlet/sandbox/record"
)

func TestVolumesFrom(t *testing.T) {
	root := record.Root(t.TempDir())
	for name, mounts := range map[string][]record.Mount{
		"data": {
			{Type: record.Volume, Source: "v1", Target: "/v", Anonymous: true},
			{Type: record.Bind, Source: "/srv", Target: "/srv", ReadOnly: true, Recursive: true, MakeSource: true},
			{Type: record.Tmpfs, Target: "/tmp"},
		},
		"more": {{Type: record.Volume, Source: "v2", Target: "/v"}},
	} {
		c, err := root.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.WriteSpec(&record.Spec{Version: record.Version, ID: c.ID, Name: name, Mounts: mounts}); err != nil {
			t.Fatal(err)
		}
	}
	v1 := record.Mount{Type: record.Volume, Source: "v1", Target: "/v", Anonymous: true, NoCopy: true}
	v2 := record.Mount{Type: record.Volume, Source: "v2", Target: "/v", NoCopy: true}
	srv := record.Mount{Type: record.Bind, Source: "/srv", Target: "/srv", ReadOnly: true, Recursive: true}
	v1ro := v1
	v1ro.ReadOnly = true
	for _, c := range []struct {
		list []string
		want []record.Mount
	}{
		{nil, nil},
		{[]string{"data"}, []record.Mount{v1, srv}},
		{[]string{"data:rw,z"}, []record.Mount{v1, srv}},
		{[]string{"data:ro"}, []record.Mount{v1ro, srv}},
		{[]string{"data", "more"}, []record.Mount{srv, v2}},
	} {
		if got, err := VolumesFrom(root, c.list); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: %+v, %v", c.list, got, err)
		}
	}
	var missing *record.NotFoundError
	if _, err := VolumesFrom(root, []string{"nobody"}); !errors.As(err, &missing) {
		t.Errorf("a container that is not there: %v", err)
	}
	if _, err := VolumesFrom(root, []string{"data:sideways"}); err == nil {
		t.Error("a mode that is none was taken")
	}
}

func TestOwnVolumesGoFirst(t *testing.T) {
	own := []record.Mount{{Type: record.Bind, Source: "/own", Target: "/v"}}
	from := []record.Mount{{Type: record.Volume, Source: "v1", Target: "/v"}, {Type: record.Volume, Source: "v2", Target: "/w"}}
	want := []record.Mount{from[1], own[0]}
	if got := WithVolumes(own, from); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}
