// Handshake, many channels, heartbeats and a restart of the broker.

import com.rabbitmq.client.*;
import java.util.*;
import java.util.concurrent.*;

final class Connections {
  private static final int CHANNELS = 500;

  static void handshake(Scope scope) throws Exception {
    ConnectionFactory wrong = Scope.factory();
    wrong.setPassword("wrong");
    try (Connection opened = wrong.newConnection()) {
      throw new AssertionError("the wrong password was accepted by " + opened);
    } catch (AuthenticationFailureException refused) {
      Harness.equal(refused.getMessage().contains("ACCESS_REFUSED"), true, "403 in " + refused.getMessage());
    }
    Map<?, ?> capabilities = (Map<?, ?>) scope.connection.getServerProperties().get("capabilities");
    for (String name : List.of("publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
        "connection.blocked", "consumer_priorities", "authentication_failure_close", "per_consumer_qos",
        "direct_reply_to")) {
      Harness.equal(capabilities.get(name), true, name);
    }
    Harness.equal(scope.connection.getHeartbeat(), 20, "negotiated heartbeat");
  }

  static void channels500(Scope scope) throws Exception {
    List<Channel> channels = new ArrayList<>();
    for (int number = 0; number < CHANNELS; number++) {
      channels.add(scope.channel());
    }
    List<Scope.Inbox> inboxes = new ArrayList<>();
    for (Channel channel : channels) {
      String queue = channel.queueDeclare().getQueue();
      inboxes.add(Scope.consume(channel, queue, null));
      channel.basicPublish("", queue, null, Scope.bytes(queue));
    }
    for (int number = 0; number < CHANNELS; number++) {
      Delivery delivery = inboxes.get(number).take();
      Harness.equal(Scope.text(delivery), delivery.getEnvelope().getRoutingKey(), "body");
      channels.get(number).basicAck(delivery.getEnvelope().getDeliveryTag(), false);
      channels.get(number).close();
    }
  }

  static void heartbeat(Scope scope) throws Exception {
    ConnectionFactory factory = Scope.factory();
    factory.setRequestedHeartbeat(1);
    Connection connection = scope.connect(factory);
    Thread.sleep(Harness.IDLE_S * 1000L);
    connection.createChannel().close();
  }

  static void restart(Scope scope) throws Exception {
    String exchange = scope.exchange("exchange");
    String queue = scope.queue("queue");
    String consumed = scope.queue("consumed");
    String transientQueue = scope.queue("transient");
    Channel setup = scope.confirming();
    setup.exchangeDeclare(exchange, BuiltinExchangeType.TOPIC, true);
    setup.queueDeclare(queue, true, false, false, null);
    setup.queueDeclare(consumed, true, false, false, null);
    setup.queueDeclare(transientQueue, false, false, false, null);
    setup.queueBind(queue, exchange, "stock.#");
    Scope.send(setup, exchange, "stock.a", MessageProperties.PERSISTENT_BASIC, "persistent");
    Scope.send(setup, exchange, "stock.b", MessageProperties.MINIMAL_BASIC, "transient");

    ConnectionFactory recovering = Scope.factory();
    recovering.setAutomaticRecoveryEnabled(true);
    recovering.setNetworkRecoveryInterval(100);
    Connection connection = scope.connect(recovering);
    CompletableFuture<Recoverable> recovered = new CompletableFuture<>();
    ((Recoverable) connection).addRecoveryListener(new RecoveryListener() {
      @Override
      public void handleRecovery(Recoverable recoverable) {
        recovered.complete(recoverable);
      }

      @Override
      public void handleRecoveryStarted(Recoverable recoverable) {}
    });
    Channel channel = connection.createChannel();
    channel.confirmSelect();
    Scope.Inbox inbox = Scope.consume(channel, consumed, null);
    Process process = new ProcessBuilder("bash", "-c", System.getenv("INTEROP_RESTART"))
        .redirectOutput(ProcessBuilder.Redirect.DISCARD).redirectError(ProcessBuilder.Redirect.DISCARD).start();
    Harness.equal(process.waitFor(), 0, "exit code of INTEROP_RESTART");
    recovered.get();

    Harness.equal(Scope.drain(channel, queue), List.of("persistent"), "messages after the restart");
    Scope.send(channel, exchange, "stock.c", MessageProperties.PERSISTENT_BASIC, "bound still");
    Harness.equal(Scope.drain(channel, queue), List.of("bound still"), "messages by the durable binding");
    channel.basicPublish("", consumed, null, Scope.bytes("by the recovered consumer"));
    Harness.equal(Scope.text(inbox.take()), "by the recovered consumer", "recovered consumer");
    Errors.refused(connection.createChannel(), 404, "transient queue",
        probing -> probing.queueDeclarePassive(transientQueue));
  }
}
