package service_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/service"
)

// roles are what a process of this test binary may be. A role that is a service
// is the client "svc".
var roles = map[string]func(context.Context) error{
	"echo":    playEcho,
	"once":    playOnce,
	"stuck":   playStuck,
	"durable": playDurable,
	"signals": playSignals,
	"hangups": playHangups,
	"asker":   playAsker,
	"silent":  playSilent,
	"watcher": playWatcher,
	"exit5":   func(context.Context) error { os.Exit(5); return nil },
	"sleeper": playSleeper,
	"caller":  playCaller,
	"wrapper": playWrapper,

	"bench-echo": playBenchEcho,
	"bench-raw":  func(context.Context) error { return playBenchRaw(os.Getenv("IPCMGR_SOCKET")) },
}

// as runs f as a client of the store in the environment, which leaves then.
func as(ctx context.Context, id string, f func(c ipcmgr.Client) error, opts ...ipcmgr.ConnectOption) error {
	st, err := ipcmgr.Open(ctx, "")
	if err != nil {
		return err
	}
	defer st.Close()
	c, err := st.Connect(ctx, id, opts...)
	if err != nil {
		return err
	}
	return errors.Join(f(c), c.Disconnect(ctx, nil))
}

func playEcho(ctx context.Context) error {
	return as(ctx, "svc", func(c ipcmgr.Client) error {
		s := service.New(c)
		echo(s)
		service.Handle(s, "pid", func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })
		return s.Serve(ctx)
	})
}

// playOnce answers one request and is gone.
func playOnce(ctx context.Context) error {
	return as(ctx, "svc", func(c ipcmgr.Client) error {
		s := service.New(c)
		echo(s)
		s.EndWhen(func() bool { return s.Stats().Requests > 0 })
		return s.Serve(ctx)
	})
}

// playStuck never answers. It prints a line for each request.
func playStuck(ctx context.Context) error {
	return as(ctx, "svc", func(c ipcmgr.Client) error {
		s := service.New(c)
		service.HandleAny(s, func(ctx context.Context, _ any) (any, error) {
			fmt.Println("got it")
			<-ctx.Done()
			return nil, ctx.Err()
		})
		return s.Serve(ctx)
	})
}

// playDurable answers, with its pid, once it is told to by $IPCMGR_ANSWER.
func playDurable(ctx context.Context) error {
	return as(ctx, "svc", func(c ipcmgr.Client) error {
		s := service.New(c, service.Durable())
		service.Handle(s, "redelivered", func(ctx context.Context, _ any) (bool, error) {
			if os.Getenv("IPCMGR_ANSWER") == "" {
				fmt.Println("got it")
				<-ctx.Done()
			}
			return service.RequestOf(ctx).Redelivered, nil
		})
		return s.Serve(ctx)
	}, ipcmgr.Resume())
}

func playSignals(ctx context.Context) error {
	return as(ctx, "svc", func(c ipcmgr.Client) error {
		s := service.New(c)
		s.OnSignal(func(_ context.Context, sig os.Signal) error {
			fmt.Println(sig)
			return nil
		}, syscall.SIGHUP)
		s.OnEnd(func(context.Context) error { fmt.Println("end"); return nil })
		return s.Serve(ctx)
	})
}

// playHangups ends while it handles the first signal, when it is given a line. It
// prints a line for each signal that has arrived, and for each that is handled.
func playHangups(ctx context.Context) error {
	arrived := make(chan os.Signal, 16)
	signal.Notify(arrived, syscall.SIGHUP)
	go func() {
		for range arrived {
			fmt.Println("arrived")
		}
	}()
	return as(ctx, "svc", func(c ipcmgr.Client) error {
		s := service.New(c)
		first := true
		s.OnSignal(func(context.Context, os.Signal) error {
			if first {
				first = false
				bufio.NewReader(os.Stdin).ReadString('\n')
				s.End()
			}
			fmt.Println("handled")
			return nil
		}, syscall.SIGHUP)
		s.OnEnd(func(context.Context) error { fmt.Println("end"); return nil })
		return s.Serve(ctx)
	})
}

// playAsker makes one call at "svc", and prints what came of it.
func playAsker(ctx context.Context) error {
	return as(ctx, "asker", func(c ipcmgr.Client) error {
		k := service.NewCaller(c)
		defer k.Close()
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		again, err := service.Call[bool](ctx, k, "svc", "redelivered", nil)
		fmt.Println(again, errors.Is(err, ipcmgr.ErrPeerGone))
		return nil
	})
}

// playSilent is a client that receives nothing.
func playSilent(ctx context.Context) error {
	return as(ctx, "svc", func(ipcmgr.Client) error {
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	})
}

// playWatcher ends with the process $IPCMGR_PID.
func playWatcher(ctx context.Context) error {
	pid, err := strconv.Atoi(os.Getenv("IPCMGR_PID"))
	if err != nil {
		return err
	}
	return as(ctx, "svc", func(c ipcmgr.Client) error {
		s := service.New(c)
		s.EndWith(pid)
		s.OnEnd(func(context.Context) error { fmt.Println("end"); return nil })
		return s.Serve(ctx)
	})
}

// playSleeper waits for SIGTERM, which makes it exit with 7.
func playSleeper(context.Context) error {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	fmt.Println("ready")
	<-told
	os.Exit(7)
	return nil
}

// playCaller makes one call at "svc" that waits for its answer.
func playCaller(ctx context.Context) error {
	return as(ctx, "caller", func(c ipcmgr.Client) error {
		_, err := service.Call[any](ctx, service.NewCaller(c), "svc", "wait", nil)
		return err
	})
}

// playWrapper is a wrapper that stays: the service is its child.
func playWrapper(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), roleEnv+"=echo")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println(cmd.Process.Pid)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cmd.Process.Kill()
	}()
	return cmd.Wait()
}

// playBenchEcho answers with the bytes it gets.
func playBenchEcho(ctx context.Context) error {
	workers, err := strconv.Atoi(os.Getenv("IPCMGR_WORKERS"))
	if err != nil {
		return err
	}
	return as(ctx, "svc", func(c ipcmgr.Client) error {
		s := service.New(c, service.Workers(workers))
		service.Handle(s, "echo", func(_ context.Context, v []byte) ([]byte, error) { return v, nil })
		return s.Serve(ctx)
	})
}
