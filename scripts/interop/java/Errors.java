// Errors close a channel, a few close the connection.

import com.rabbitmq.client.*;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;

final class Errors {
  interface Call {
    void on(Channel channel) throws Exception;
  }

  private static int code(ShutdownSignalException signal) {
    Method reason = signal.getReason();
    return reason instanceof AMQP.Channel.Close
        ? ((AMQP.Channel.Close) reason).getReplyCode()
        : ((AMQP.Connection.Close) reason).getReplyCode();
  }

  /** The call, on a channel of its own, is answered by a close of the channel with the code. */
  static void refused(Scope scope, int code, String what, Call call) throws Exception {
    refused(scope.channel(), code, what, call);
  }

  static void refused(Channel channel, int code, String what, Call call) throws Exception {
    try {
      call.on(channel);
    } catch (IOException refused) {
      Harness.equal(code((ShutdownSignalException) refused.getCause()), code, what);
      return;
    }
    throw new AssertionError(what + " was not refused");
  }

  /** The call has no answer of its own; the close of the channel comes later. */
  static void closes(Channel channel, int code, String what, Call call) throws Exception {
    CompletableFuture<ShutdownSignalException> closed = new CompletableFuture<>();
    channel.addShutdownListener(closed::complete);
    try {
      call.on(channel);
    } catch (AlreadyClosedException | IOException early) {
      // the close came while the call was still being sent
    }
    Harness.equal(code(closed.get()), code, what);
  }

  static void errors(Scope scope) throws Exception {
    String missing = "interop.java.missing";
    Channel owner = scope.channel();
    String queue = scope.exclusive(owner, "queue");
    String shared = scope.declare(owner, "shared", null);
    refused(scope, 404, "missing queue", channel -> channel.queueDeclarePassive(missing));
    refused(scope, 404, "missing exchange", channel -> channel.exchangeDeclarePassive(missing));
    refused(scope, 404, "bind to a missing exchange", channel -> channel.queueBind(queue, missing, "key"));
    refused(scope, 404, "consume from a missing queue",
        channel -> channel.basicConsume(missing, (tag, delivery) -> {}, tag -> {}));
    refused(scope, 404, "get from a missing queue", channel -> channel.basicGet(missing, false));
    refused(scope, 403, "reserved queue name", channel -> channel.queueDeclare("amq.interop", true, false, false, null));
    refused(scope, 403, "reserved exchange name", channel -> channel.exchangeDeclare("amq.interop", "direct"));
    refused(scope, 403, "delete of amq.direct", channel -> channel.exchangeDelete("amq.direct"));
    refused(scope, 403, "bind to the default exchange", channel -> channel.queueBind(queue, "", "key"));
    refused(scope, 406, "other durability", channel -> channel.queueDeclare(shared, true, false, false, null));
    refused(scope, 406, "other arguments",
        channel -> channel.queueDeclare(shared, false, false, false, Map.of("x-message-ttl", 1000)));
    refused(scope, 406, "other exchange type", channel -> channel.exchangeDeclare("amq.direct", "fanout", true));
    refused(scope.connect().createChannel(), 405, "another's exclusive queue",
        channel -> channel.queueDeclarePassive(queue));
    closes(scope.channel(), 404, "publish to a missing exchange",
        channel -> channel.basicPublish(missing, "key", null, new byte[0]));
    closes(scope.channel(), 406, "unknown delivery tag", channel -> channel.basicAck(7, false));
    closes(scope.confirming(), 406, "acknowledged twice", channel -> {
      Scope.sendTexts(channel, queue, List.of("once"));
      long tag = Scope.getOne(channel, queue, false).getEnvelope().getDeliveryTag();
      channel.basicAck(tag, false);
      channel.basicAck(tag, false);
    });
    connectionErrors(scope, missing);
  }

  private static void closesConnection(Scope scope, int code, String what, Call call) throws Exception {
    Connection connection = scope.connect();
    CompletableFuture<ShutdownSignalException> closed = new CompletableFuture<>();
    connection.addShutdownListener(closed::complete);
    try {
      call.on(connection.createChannel());
    } catch (IOException | AlreadyClosedException refused) {
      // a call with an answer fails too
    }
    Harness.equal(code(closed.get()), code, what);
  }

  private static void connectionErrors(Scope scope, String missing) throws Exception {
    ConnectionFactory elsewhere = Scope.factory();
    elsewhere.setVirtualHost(missing);
    try {
      scope.connect(elsewhere);
      throw new AssertionError("connected to a missing virtual host");
    } catch (IOException refused) {
      Harness.equal(code((ShutdownSignalException) refused.getCause()), 530, "missing virtual host");
    }
    closesConnection(scope, 540, "immediate",
        channel -> channel.basicPublish("", missing, false, true, null, new byte[0]));
    closesConnection(scope, 540, "recover without requeue", channel -> channel.basicRecover(false));
    Call unknownType = channel -> channel.exchangeDeclare(missing, "x-unknown");
    if (Harness.onRabbitMQ3("an unknown exchange type closes the connection with 503 before RabbitMQ 4")) {
      closesConnection(scope, 503, "unknown exchange type", unknownType);
    } else {
      refused(scope, 406, "unknown exchange type", unknownType);
    }
  }
}
