// Runs features one after another: a deadline, clean-up and one line of output for each.

import java.util.*;
import java.util.concurrent.*;

final class Harness {
  interface Feature {
    void test(Scope scope) throws Exception;
  }

  interface Action {
    void run() throws Exception;
  }

  static final int DEADLINE_S = 20;
  private static final int RESTART_DEADLINE_S = 40;
  private static final int CLEAN_UP_S = 5;

  static final String HOST = environment("AMQP_HOST", "127.0.0.1");
  static final int PORT = Integer.parseInt(environment("AMQP_PORT", "5672"));
  static final String USER = environment("AMQP_USER", "guest");
  static final String PASSWORD = environment("AMQP_PASSWORD", "guest");
  static final String VHOST = environment("AMQP_VHOST", "/");
  static final int MESSAGES = Integer.parseInt(environment("INTEROP_MESSAGES", "10000"));
  static final int IDLE_S = Integer.parseInt(environment("INTEROP_IDLE_S", "5"));
  private static final String PEER = environment("INTEROP_PEER", "this");

  private static final Set<String> notes = new LinkedHashSet<>();
  private static final ExecutorService threads = Executors.newCachedThreadPool(work -> {
    Thread thread = new Thread(work);
    thread.setDaemon(true); // a feature that hangs does not keep the program
    return thread;
  });

  private static String environment(String name, String otherwise) {
    return Optional.ofNullable(System.getenv(name)).orElse(otherwise);
  }

  /** Whether the peer is RabbitMQ 3, which differs from what must hold: noted with the reason. */
  static boolean onRabbitMQ3(String why) {
    if (PEER.equals("rabbitmq3")) {
      notes.add(why);
    }
    return PEER.equals("rabbitmq3");
  }

  static void equal(Object actual, Object expected, String what) {
    if (!Objects.equals(actual, expected)) {
      throw new AssertionError(what + ": expected " + expected + ", got " + actual);
    }
  }

  /** Runs the action; an empty answer, or why it failed. */
  private static String within(int seconds, Action action) throws InterruptedException {
    Future<?> result = threads.submit(() -> {
      action.run();
      return null;
    });
    try {
      result.get(seconds, TimeUnit.SECONDS);
      return "";
    } catch (TimeoutException late) {
      result.cancel(true);
      return "not done within " + seconds + " s";
    } catch (ExecutionException failed) {
      Throwable cause = failed.getCause();
      if (System.getenv("INTEROP_TRACE") != null) {
        cause.printStackTrace();
      }
      String deepest = cause.getCause() == null ? "" : " | " + cause.getCause().getMessage();
      return (cause + deepest).replace('\n', ' ');
    }
  }

  private static boolean run(String name, Feature feature) throws InterruptedException {
    Scope scope = new Scope(name);
    String reason = within(name.equals("restart") ? RESTART_DEADLINE_S : DEADLINE_S, () -> {
      scope.open();
      feature.test(scope);
    });
    String left = within(CLEAN_UP_S, scope::close);
    if (reason.isEmpty() && !left.isEmpty()) {
      reason = "clean-up: " + left;
    }
    notes.forEach(note -> System.out.println("note " + name + ": " + PEER + ": " + note));
    notes.clear();
    System.out.println(reason.isEmpty() ? "ok " + name : "FAIL " + name + ": " + reason);
    return reason.isEmpty();
  }

  static int run(Map<String, Feature> features, List<String> chosen) throws InterruptedException {
    if (!features.keySet().containsAll(chosen)) {
      System.out.println("unknown feature in " + chosen);
      return 2;
    }
    boolean passed = true;
    for (String name : chosen.isEmpty() ? features.keySet() : chosen) {
      if (!name.equals("restart") || System.getenv("INTEROP_RESTART") != null) {
        passed &= run(name, features.get(name));
      } else if (!chosen.isEmpty()) {
        System.out.println("skip restart: INTEROP_RESTART is not set");
      }
    }
    return passed ? 0 : 1;
  }
}
