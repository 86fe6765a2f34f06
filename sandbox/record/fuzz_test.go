package record

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRecord holds that a container whose files hold anything at all is listed, as what
// they say or as dead, and that its name leads to it or nowhere.
func FuzzRecord(f *testing.F) {
	id := strings.Repeat("0123456789abcdef", 4)
	spec := `{"version":1,"id":"` + id + `","name":"web","created":"2026-01-02T03:04:05Z"}`
	f.Add([]byte(spec), []byte(`{"version":1,"status":"running","pid":1,"born":"7"}`), []byte(`{"version":1,"name":"other"}`), []byte(id))
	f.Add([]byte(`{"version":1}`), []byte(`{"status":"restarting","health":{}}`), []byte(``), []byte(`.`))
	f.Add([]byte(`{"version":1,"id":"..","networks":[{"ip4":"x"}]}`), []byte(`[]`), []byte(`null`), []byte(strings.ToUpper(id)))
	f.Add([]byte(spec), []byte(`null`), []byte(`{"name":"../../x","networks":[{}]}`), []byte(``))
	r := Root(f.TempDir())
	for _, dir := range []string{r.Dir(id), r.names(), filepath.Join(r.Containers(), id+".copy"), filepath.Join(r.Containers(), "x")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, spec, state, settings, name []byte) {
		for path, text := range map[string][]byte{
			filepath.Join(r.Dir(id), specFile): spec, filepath.Join(r.Dir(id), stateFile): state,
			filepath.Join(r.Dir(id), settingsFile): settings, filepath.Join(r.names(), "web"): name,
			filepath.Join(r.Containers(), id+".copy", specFile): spec, filepath.Join(r.Containers(), "x", specFile): spec,
		} {
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		list, err := r.List()
		if err != nil || len(list) != 1 || list[0].ID != id {
			t.Fatalf("listed %+v, %v", list, err)
		}
		e := list[0]
		if e.Spec.ID != id || e.Err != nil && e.State.Status != Dead || e.State.Status.Up() {
			t.Errorf("%+v", e)
		}
		if e.Err == nil && e.Spec.Version != Version {
			t.Errorf("version %d is read", e.Spec.Version)
		}
		for _, given := range []string{"web", id, id[:5]} {
			found, err := r.Find(given)
			var missing *NotFoundError
			if err == nil && found != id || err != nil && (given != "web" || !errors.As(err, &missing)) {
				t.Errorf("%s leads to %q, %v", given, found, err)
			}
		}
		if _, err := r.StaleNames(); err != nil {
			t.Error(err)
		}
		_ = r.goesBy(id, "web")
	})
}
