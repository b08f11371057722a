package cmdline

import (
	"os"

	"github.com/urfave/cli/v2"

	"vgid/model/cpu"
	"vgid/model/hub"
	"vgid/vgid/quickstart"
)

// ModelUsage is what ModelFolder takes.
const ModelUsage = "`FOLDER` of the model, its ORG/NAME on the hub, or " + quickstart.Builtin

// ModelFolder is the folder a flag names: a path, ORG/NAME[@REVISION], which is
// fetched from the hub, or a built-in model, which is written to a folder that
// lasts as long as the command.
func ModelFolder(c *cli.Context, flag string) (string, error) { return folderOf(c, flag, hub.Whole) }

// TokenizerFolder is ModelFolder for those who need no weights.
func TokenizerFolder(c *cli.Context, flag string) (string, error) {
	return folderOf(c, flag, hub.Tokenizer)
}

// Progress of a download goes to standard error. A built-in model is written anew at each call, so that
// none can be left over from another version of the program.
// part says what of a model on a hub is fetched: a tokenizer needs no gigabytes of weights.
func folderOf(c *cli.Context, flag string, part hub.Part) (string, error) {
	ref := c.String(flag)
	name, write, err := quickstart.Find(ref)
	switch {
	case err != nil:
		return "", Errorf(c, "--%s: %w", flag, err)
	case name == "":
		return hub.Folder(c.Context, ref, part, os.Stderr)
	}
	dir, err := os.MkdirTemp("", "vgid-")
	if err != nil {
		return "", err
	}
	scratch = append(scratch, dir)
	be := cpu.New(0)
	defer be.Close()
	return dir, write(be, dir, 0)
}

// scratch are the folders of built-in models.
// One list for the process, since a signal may end it in any command.
var scratch []string

// RemoveScratch removes the folders that ModelFolder and TokenizerFolder have written. It is called before
// each way in which the process may end; to call it again does no harm.
func RemoveScratch() {
	for _, dir := range scratch {
		os.RemoveAll(dir) // what is left there takes room and does no harm
	}
	scratch = nil
}
