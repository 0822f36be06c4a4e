package org.elasticsearch.node;

import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.ClasspathPluginsService;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.plugins.PluginsLoader;
import org.elasticsearch.plugins.PluginsService;
import org.elasticsearch.transport.netty4.Netty4Plugin;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

/** A single Elasticsearch node over HTTP, from jars on the class path; its settings are the arguments. */
public final class EmbeddedNode extends Node {

    private static final List<Class<? extends Plugin>> PLUGINS = List.of(Netty4Plugin.class, RootPlugin.class);

    private EmbeddedNode(Environment environment) {
        super(NodeConstruction.prepareConstruction(environment, null, new NodeServiceProvider() {
            @Override
            PluginsService newPluginService(Environment given, PluginsLoader ignored) {
                return new ClasspathPluginsService(given, PLUGINS);
            }
        }, true));
    }

    /** Runs a node until SIGTERM. Each argument is {@code setting=value}. */
    public static void main(String[] arguments) throws Exception {
        Settings.Builder settings = Settings.builder();
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            settings.put(parts[0], parts[1]);
        }
        // Before anything else of Elasticsearch: its loggers have no provider until then.
        LogConfigurator.configureESLogging();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings.build(), Map.of(), null, () -> "node");
        // There is no log4j2.properties: to standard output, from the level that logger.level names.
        LogConfigurator.configureWithoutConfig(environment.settings());

        EmbeddedNode node = new EmbeddedNode(environment);
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> closeQuietly(node, stopped), "stop"));
        node.start();
        stopped.await();
    }

    private static void closeQuietly(EmbeddedNode node, CountDownLatch stopped) {
        try {
            node.close();
        } catch (IOException error) {
            error.printStackTrace();
        } finally {
            stopped.countDown();
        }
    }
}
