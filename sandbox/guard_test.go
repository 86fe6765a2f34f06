package sandbox

import "testing"

// TestAGuardThatCannotLook is found out the second time, and not where one look ended.
func TestAGuardThatCannotLook(t *testing.T) {
	var g guard
	for i, test := range []struct{ looks, stuck bool }{
		{true, false}, {false, false}, {true, false}, {false, false}, {false, true},
	} {
		g.checked = sinceBoot() - maxLook
		if test.looks {
			g.looks.Add(1)
		}
		if got := g.stuck(); got != test.stuck {
			t.Errorf("check %d: %v", i, got)
		}
		if g.stuck() {
			t.Errorf("check %d: asked again at once", i)
		}
	}
}
