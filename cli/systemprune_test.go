package cli

import "testing"

func TestSystemPruneWarning(t *testing.T) {
	for want, c := range map[string]systemPruneCmd{
		`WARNING! This will remove:
  - all stopped containers
  - all networks not used by at least one container
  - all dangling images
  - unused build cache
`: {},
		`WARNING! This will remove:
  - all stopped containers
  - all networks not used by at least one container
  - all anonymous volumes not used by at least one container
  - all images without at least one container associated to them
  - all build cache

  Items to be pruned will be filtered with:
  - label!=keep
  - label=tests
`: {All: true, Volumes: true, Filter: []string{"label=tests", "label!=keep"}},
	} {
		if got := c.warning(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}
