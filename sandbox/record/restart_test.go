package record

import "testing"

func TestParseRestart(t *testing.T) {
	for text, want := range map[string]Restart{
		"":               {Policy: RestartNo},
		"no":             {Policy: RestartNo},
		"always":         {Policy: RestartAlways},
		"unless-stopped": {Policy: RestartUnlessStopped},
		"on-failure":     {Policy: RestartOnFailure},
		"on-failure:":    {Policy: RestartOnFailure},
		"on-failure:0":   {Policy: RestartOnFailure},
		"on-failure:3":   {Policy: RestartOnFailure, Retries: 3},
	} {
		got, err := ParseRestart(text)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
		if again, err := ParseRestart(got.String()); err != nil || again != want {
			t.Errorf("%q: String %q reads as %+v, %v", text, got, again, err)
		}
		if active := got.Policy != RestartNo; got.Active() != active {
			t.Errorf("%q: Active %v", text, got.Active())
		}
	}
	if zero := (Restart{}); zero.Active() || zero.String() != "no" {
		t.Errorf("zero: %v, %q", zero.Active(), zero)
	}
}

func TestParseRestartRefuses(t *testing.T) {
	for _, text := range []string{":3", "never", "Always", "always:2", "no:1", "on-failure:x", "on-failure:-1", "on-failure:1.5", "on-failure:1:2"} {
		if got, err := ParseRestart(text); err == nil {
			t.Errorf("%q: %+v, want an error", text, got)
		}
	}
}
