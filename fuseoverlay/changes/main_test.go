package changes

import (
	"testing"

	"rootlet/fuseoverlay/internal/testns"
)

func TestMain(m *testing.M) { testns.Main(m) }
