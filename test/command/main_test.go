// Package command runs the commands as a user does, beside what tells the same without
// them: the native tools, the kernel, and the pages of the documentation.
package command

import (
	"testing"

	"github.com/xdpmux/xdpmux/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// native is the tool that is compared.
const native = "xdp-loader"
