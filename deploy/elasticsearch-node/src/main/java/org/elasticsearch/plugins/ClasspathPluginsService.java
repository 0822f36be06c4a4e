package org.elasticsearch.plugins;

import org.elasticsearch.Build;
import org.elasticsearch.action.admin.cluster.node.info.PluginsAndModules;
import org.elasticsearch.env.Environment;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;

/** Takes plugin classes from the class path instead of from the distribution's modules/ and plugins/ folders. */
public final class ClasspathPluginsService extends PluginsService {

    private final List<LoadedPlugin> loaded = new ArrayList<>();

    /** Loads one instance of each of {@code classes}. */
    public ClasspathPluginsService(Environment environment, List<Class<? extends Plugin>> classes) {
        super(environment.settings(), environment.configDir(), new PluginsLoader(Set.of(), Set.of(), Map.of()));
        for (Class<? extends Plugin> type : classes) {
            Plugin plugin = loadPlugin(type, environment.settings(), environment.configDir());
            loaded.add(new LoadedPlugin(descriptor(type), plugin, type.getClassLoader()));
        }
        loadExtensions(loaded);
    }

    private static PluginDescriptor descriptor(Class<? extends Plugin> type) {
        String javaVersion = Integer.toString(Runtime.version().feature());
        return new PluginDescriptor(
            type.getSimpleName(), "class path plugin", "NA", Build.current().version(), javaVersion,
            type.getName(), null, List.of(), false, false, false, false
        );
    }

    @Override
    protected List<LoadedPlugin> plugins() {
        return loaded;
    }

    @Override
    public PluginsAndModules info() {
        List<PluginRuntimeInfo> about = loaded.stream().map(plugin -> new PluginRuntimeInfo(plugin.descriptor())).toList();
        return new PluginsAndModules(about, List.of());
    }

    /** Asks the one class loader once: the inherited way would find each provider once per plugin. */
    @Override
    public <T> List<? extends T> loadServiceProviders(Class<T> service) {
        List<T> providers = new ArrayList<>();
        ServiceLoader.load(service, getClass().getClassLoader()).forEach(providers::add);
        return providers;
    }
}
