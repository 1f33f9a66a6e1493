package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/internal/clustertest"
)

// openTerminal makes a pseudo-terminal: the user's side, and the side that programs are given.
func openTerminal(tb testing.TB) (user, program *os.File) {
	tb.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		tb.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		tb.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = program.Close() })
	return user, program
}

// runOnTerminal runs etcdops with its input and error stream on a terminal, types answer when prompt has come, and
// returns its output, what the terminal showed, and how it ended.
func runOnTerminal(tb testing.TB, prompt, answer string, args ...string) (r result) {
	tb.Helper()
	user, program := openTerminal(tb)
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	cmd := etcdopsProgram(tb, "etcdops").command(ctx, args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, &out, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	_ = program.Close() // so that reading ends with the program
	var shown strings.Builder
	typed := false
	for reader := bufio.NewReader(user); ; {
		c, err := reader.ReadByte()
		if err != nil { // the program has closed the terminal
			break
		}
		shown.WriteByte(c)
		if !typed && strings.HasSuffix(shown.String(), prompt) {
			typed = true
			if _, err := user.WriteString(answer); err != nil {
				tb.Fatal(err)
			}
		}
	}
	_ = cmd.Wait()
	if !typed {
		tb.Fatalf("the prompt %q did not come:\n%s", prompt, shown.String())
	}
	return result{out.String(), shown.String(), cmd.ProcessState.ExitCode()}
}

func TestDelAsksOnATerminal(t *testing.T) {
	t.Parallel()
	cluster := clustertest.New(t, clustertest.Options{})
	client := cluster.Client(t)
	for _, key := range []string{"/a/1", "/a/2", "/a/3"} {
		if _, err := client.Put(t.Context(), key, "x"); err != nil {
			t.Fatal(err)
		}
	}
	prompt := "Type 3 to delete 3 keys under /a: "
	del := []string{"--endpoints", cluster.Members[0].ClientURL, "del", "/a", "--prefix"}
	for _, tc := range []struct {
		name, answer string
		code         int
		saying, out  string
	}{
		{"another word", "yes\n", 4, "not confirmed: nothing was changed (ETO-4001)", ""},
		{"nothing", "\n", 4, "ETO-4001", ""},
		{"end of input", "\x04", 4, "ETO-4001", ""},
		{"interrupt", "\x03", 130, "", ""}, // the terminal may drop what is written while it handles the key
		{"the word", "3\n", 0, "", "3\n"},
	} {
		r := runOnTerminal(t, prompt, tc.answer, del...)
		if r.code != tc.code || r.out != tc.out || !strings.Contains(r.err, tc.saying) {
			t.Errorf("%s: exit %d, out %q, terminal %q; want exit %d, out %q, saying %q", tc.name, r.code, r.out, r.err, tc.code, tc.out, tc.saying)
		}
	}
}
