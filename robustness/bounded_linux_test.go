package robustness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ipcmgr/ipcmgr"
)

func init() {
	roles["unwatched"] = playUnwatched
	roles["starved"] = playStarved
	roles["starved receiver"] = playStarvedReceiver
}

// Elsewhere, the 65th client dies for want of inotify instances: here a process
// has one, however many clients.
func TestManyClientsNeedOneInotifyInstance(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		for i := range 100 {
			w.connect(fmt.Sprint("c", i))
		}
		ctx, cancel := context.WithCancel(w.ctx)
		for range w.store.Watch(ctx) { // which watches, too
			break
		}
		cancel()
		require.LessOrEqual(w, instances(), 1)
	})
}

func instances() (n int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.HasSuffix(to, "inotify") {
			n++
		}
	}
	return n
}

// Where a user has no inotify instance left, directories are looked at in
// turn, the client says so, and all works.
func TestInotifyInstancesRunOut(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		base := openPlace(w, w.protocol())
		if unix.Geteuid() == 0 {
			require.NoError(w, os.Chown(base, unwatchedUser, unwatchedUser))
		}
		_, _, out := w.start("unwatched", w.protocol(), base)
		line, err := out.ReadString('\n')
		require.NoError(w, err)
		require.Equal(w, "all worked\n", line)
	})
}

// unwatchedUser is nobody else, so that nobody else runs out of instances.
const unwatchedUser = 54321

// exhaust uses up what instances there are. Who is not root has none but those
// that others use at this moment, and takes the fallback without them; so does
// who may have more of them than descriptors.
func exhaust() error {
	if unix.Geteuid() != 0 {
		return os.Setenv("IPCMGR_POLL", "1")
	}
	if err := become(unwatchedUser); err != nil {
		return err
	}
	var had []int
	for range 4096 {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err == unix.EMFILE {
			break
		}
		if err != nil {
			return err
		}
		had = append(had, fd)
	}
	if _, err := unix.InotifyInit1(unix.IN_CLOEXEC); err == unix.EMFILE && lowest() > 0 {
		return nil
	}
	for _, fd := range had {
		unix.Close(fd)
	}
	return os.Setenv("IPCMGR_POLL", "1")
}

func playUnwatched() error {
	if err := exhaust(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	s, err := ipcmgr.Spawn(ctx, ipcmgr.Config{Protocol: ipcmgr.Names{os.Args[1]}, Route: os.Args[2] + "/r"})
	if err != nil {
		return err
	}
	var told strings.Builder
	a, err := s.Connect(ctx, "a", ipcmgr.Logger(slog.New(slog.NewTextHandler(&told, nil))))
	if err != nil {
		return err
	}
	if err := s.WaitPeer(ctx, "a"); err != nil {
		return err
	}
	joined := make(chan error, 1)
	go func() { joined <- s.WaitPeer(ctx, "b") }()
	b, err := s.Connect(ctx, "b")
	if err != nil {
		return err
	}
	if err := <-joined; err != nil {
		return err
	}
	for i := range 100 {
		if err := a.Send(ctx, "b", i); err != nil {
			return err
		}
		if got, err := ipcmgr.ReceiveAs[int](ctx, b); err != nil || got != i {
			return fmt.Errorf("got %d instead of %d: %w", got, i, err)
		}
	}
	if err := errors.Join(a.Disconnect(ctx, nil), b.Disconnect(ctx, nil), s.Shutdown(ctx)); err != nil {
		return err
	}
	if (os.Args[1] == "fsqueue" || os.Args[1] == "unixsocket") && !strings.Contains(told.String(), "looked at every") {
		return fmt.Errorf("the client did not tell that it polls: %s", told.String())
	}
	fmt.Println("all worked")
	return nil
}

// Where a process has no descriptor left, calls fail with an error that says
// so, nothing is accepted that is not, and all works on when there are again.
func TestDescriptorsRunOut(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		peers := make([]*puppet, 3)
		for i := range peers {
			peers[i] = w.puppet(fmt.Sprint("p", i))
		}
		_, _, out := w.start("starved")
		line, err := out.ReadString('\n')
		require.NoError(w, err)
		var accepted [3]int
		_, err = fmt.Sscan(line, &accepted[0], &accepted[1], &accepted[2])
		require.NoError(w, err, line)
		for i, p := range peers {
			require.Positive(w, accepted[i])
			require.Equal(w, answer{Texts: numbered("", accepted[i])}, p.do(order{Op: "receive", N: accepted[i]}))
			require.Equal(w, answer{}, p.do(order{Op: "rest"}))
		}
	})
}

func playStarved() error {
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	s, err := ipcmgr.Open(ctx, "")
	if err != nil {
		return err
	}
	c, err := s.Connect(ctx, "c", ipcmgr.Logger(silent))
	if err != nil {
		return err
	}
	var full unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &full); err != nil {
		return err
	}
	var accepted [3]int
	failures := 0
	for spare := range 40 {
		limit := full
		limit.Cur = uint64(lowest() + spare)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
		check := func(err error) error {
			if err == nil || errors.Is(err, unix.EMFILE) || errors.Is(err, ipcmgr.ErrFull) {
				if err != nil {
					failures++
				}
				return nil
			}
			return fmt.Errorf("with %d descriptors to spare: %w", spare, err)
		}
		errs := []error{}
		for i := range accepted {
			err := c.TrySend(ctx, fmt.Sprint("p", i), fmt.Sprint(accepted[i]))
			if err == nil {
				accepted[i]++
			}
			errs = append(errs, check(err))
		}
		d, err := s.Connect(ctx, "d", ipcmgr.Logger(silent), ipcmgr.Resume())
		errs = append(errs, check(err))
		if _, err := s.Peers(ctx); err != nil {
			errs = append(errs, check(err))
		}
		o, err := ipcmgr.Open(ctx, "")
		errs = append(errs, check(err))
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &full); err != nil {
			return err
		}
		if d != nil {
			errs = append(errs, d.Disconnect(ctx, nil))
		}
		if o != nil {
			errs = append(errs, o.Close())
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
	if failures < 5 {
		return fmt.Errorf("only %d calls failed", failures)
	}
	for i := range accepted {
		if err := c.Send(ctx, fmt.Sprint("p", i), fmt.Sprint(accepted[i])); err != nil {
			return err
		}
		accepted[i]++
	}
	if err := c.Disconnect(ctx, nil); err != nil {
		return err
	}
	fmt.Println(accepted[0], accepted[1], accepted[2])
	return nil
}

// A receiver that has no descriptor left, or too few, loses nothing that was
// accepted: it has it when there are again.
func TestReceiverWithoutDescriptors(t *testing.T) {
	over(t, inDirectories, ipcmgr.Config{}, func(w *world) {
		_, in, out := w.start("starved receiver")
		for spare := range starvedRounds {
			line, err := out.ReadString('\n')
			require.NoError(w, err)
			require.Equal(w, "starved\n", line)
			p := w.puppet(fmt.Sprint("p", spare))
			require.Equal(w, answer{N: 2}, p.do(order{Op: "send", To: "c", N: 2}))
			require.Equal(w, answer{}, p.do(order{Op: "disconnect"}))
			_, err = in.Write([]byte("look\nlook\nfeed\n"))
			require.NoError(w, err)
			line, err = out.ReadString('\n')
			require.NoError(w, err)
			require.Equal(w, "[0 1]\n", line, "with %d descriptors to spare", spare)
		}
	})
}

const starvedRounds = 6

func playStarvedReceiver() error {
	ctx, cancel := context.WithTimeout(context.Background(), stuck)
	defer cancel()
	s, err := ipcmgr.Open(ctx, "")
	if err != nil {
		return err
	}
	c, err := s.Connect(ctx, "c", ipcmgr.Logger(silent))
	if err != nil {
		return err
	}
	for spare := range starvedRounds {
		feed, err := starve(spare)
		if err != nil {
			return err
		}
		fmt.Println("starved")
		var got []string
		for word := ""; word != "feed"; {
			if _, err := fmt.Scanln(&word); err != nil {
				return err
			}
			ms, err := c.Poll(ctx, 2)
			if err != nil && !errors.Is(err, unix.EMFILE) {
				return err
			}
			for _, m := range ms {
				var text string
				if err := m.Decode(&text); err != nil {
					return err
				}
				got = append(got, text)
			}
		}
		if err := feed(); err != nil {
			return err
		}
		for len(got) < 2 {
			text, err := ipcmgr.ReceiveAs[string](ctx, c)
			if err != nil {
				return err
			}
			got = append(got, text)
		}
		fmt.Println(got)
	}
	return nil
}

// lowest is the lowest descriptor that is free, 0 if none is.
func lowest() int {
	fd, err := unix.Dup(0)
	if err != nil {
		return 0
	}
	unix.Close(fd)
	return fd
}
