package ipcmgr_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/ipcmgr/ipcmgr"

// The layers of DESIGN.md: who may import whom. An arrow from a lower layer to
// a higher one is a defect.
func TestLayers(t *testing.T) {
	deps := imports(t)
	require.Greater(t, len(deps), 15)
	for pkg, uses := range deps {
		for _, used := range uses {
			if !allowed(pkg, used) {
				t.Errorf("%s imports %s, against the layers", pkg, used)
			}
		}
	}
}

// allowed says whether a package of the module may import another.
func allowed(pkg, used string) bool {
	layer := func(path string) string {
		switch {
		case path == "":
			return "root"
		case path == "protocol", path == "serializer":
			return "contract"
		case path == "internal/byname":
			return "byname"
		case path == "internal/measure/lanes":
			return "lanes"
		case strings.HasPrefix(path, "internal/"):
			return "room"
		case path == "protocol/all", path == "serializer/all":
			return "all"
		case path == "proc":
			return "proc"
		case path == "service":
			return "service"
		case path == "ipctest":
			return "harness"
		case strings.HasSuffix(path, "test"):
			return "suite"
		case strings.HasPrefix(path, "protocol/"):
			return "protocol"
		case strings.HasPrefix(path, "serializer/"):
			return "serializer"
		}
		return "program" // the command, examples
	}
	from, to := layer(pkg), layer(used)
	switch from {
	case "contract":
		return to == "byname"
	case "byname":
		return false
	case "room":
		return to == "room" || used == "protocol"
	case "protocol":
		return to == "room" || used == "protocol" || strings.HasPrefix(used, pkg+"/")
	case "serializer":
		return to == "room" || used == "serializer" || strings.HasPrefix(used, "serializer/internal/")
	case "root":
		return to == "contract" || used == "internal/process" || used == "internal/race"
	case "proc":
		return to == "root" || to == "room"
	case "service":
		return to == "root" || to == "room" || to == "proc"
	case "harness": // the contracts for their lists of what is registered
		return to == "root" || to == "room" || to == "proc" || to == "contract"
	case "lanes":
		return to == "root" || to == "contract" || used == "internal/measure"
	case "all":
		return to == "protocol" || to == "serializer"
	case "suite":
		return to != "program" && to != "all"
	}
	return true
}

// imports lists the module's own imports of each of its packages, tests left
// out, by path below the module.
func imports(t *testing.T) map[string][]string {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	out, err := cmd.Output()
	require.NoError(t, err)
	deps := map[string][]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return deps
		} else if err != nil {
			t.Fatal(err)
		}
		name := below(p.ImportPath)
		deps[name] = nil
		for _, i := range p.Imports {
			if i == module || strings.HasPrefix(i, module+"/") {
				deps[name] = append(deps[name], below(i))
			}
		}
	}
}

func below(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

// What a user of the core compiles has no heavy or test-only dependency.
func TestDependenciesOfTheCore(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module, module+"/protocol/all", module+"/serializer/all").Output()
	require.NoError(t, err)
	for dep := range strings.FieldsSeq(string(out)) {
		if first, _, _ := strings.Cut(dep, "/"); !strings.Contains(first, ".") || strings.HasPrefix(dep, module) {
			continue
		}
		ok := false
		for _, known := range []string{"github.com/fsnotify/fsnotify", "github.com/vmihailenco/msgpack/v5", "github.com/vmihailenco/tagparser/v2", "go.etcd.io/bbolt", "golang.org/x/sys", "golang.org/x/sync"} {
			ok = ok || dep == known || strings.HasPrefix(dep, known+"/")
		}
		if !ok {
			t.Errorf("the core needs %s", dep)
		}
	}
}
